"""Memory of negatives: the momentum network that makes keys, and the queue that keeps them."""
