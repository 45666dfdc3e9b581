"""``python -m posemamba``, and the ``posemamba`` command."""

from posemamba.cli.main import cli as main

if __name__ == "__main__":
    main(prog_name="posemamba")
