"""Losses as pure functions of tensors: contrastive, supervised, distillation, weight decay."""
