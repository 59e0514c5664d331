"""The front door's commands, a file each; heavy imports happen inside them."""
