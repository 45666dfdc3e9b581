"""The paper's ablations run again."""
