"""LARS, learning-rate schedules, and which variables are decayed and adapted."""
