"""``python -m pmexport``, and the ``pmexport`` command."""

import sys


def main() -> None:
    """Run the command line; an interrupt while it is still imported is told like a later one."""
    try:
        from pmexport.cli.main import cli
    except KeyboardInterrupt:
        sys.stderr.write("Error: interrupted\n")
        sys.exit(130)
    cli(prog_name="pmexport")


if __name__ == "__main__":
    main()
