"""Command-line flags, and the way from them to the typed settings of ``tf_simclr.config``."""
