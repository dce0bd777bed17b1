"""Where the time goes: counted in operations, and measured."""
