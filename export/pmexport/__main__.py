"""``python -m pmexport``, and the ``pmexport`` command."""

from pmexport.cli.main import cli as main

if __name__ == "__main__":
    main(prog_name="pmexport")
