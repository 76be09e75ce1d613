"""Classification metrics by exact counting, and nearest-neighbour evaluation."""
