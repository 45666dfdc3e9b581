"""The body: its joints, their rotations, and where people stand when a motion is shown."""
