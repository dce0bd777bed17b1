"""`python -m janus_minimal` is the command `janus-minimal`."""

from janus_minimal.cli import main

if __name__ == "__main__":
    main()
