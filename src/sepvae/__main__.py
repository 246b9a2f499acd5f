"""`python -m sepvae`: the command line where the script is not on the path."""

from sepvae.cli import main

main()
