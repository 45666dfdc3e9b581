"""Past one process: archives on Ray Data, cameras on Ray Serve. Only this room imports ray."""
