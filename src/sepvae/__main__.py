"""Run the command line as `python -m sepvae`, where the script is not on the path."""

from sepvae.cli import main

main()
