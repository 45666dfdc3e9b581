"""Clips made from motion capture seen by made-up cameras."""
