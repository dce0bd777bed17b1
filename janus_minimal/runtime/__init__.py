"""How the model runs: on which device, compiled or not, and with which checks of what it is asked."""
