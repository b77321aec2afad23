"""`python -m truing.cli` is `truing`."""

from truing.cli import main

if __name__ == "__main__":
    main()
