"""`python -m app` is `mediaops-sync`."""

from app.cli.root import main

if __name__ == "__main__":
    main()
