"""Sources of images, label subsets, augmentations and the batches of each stage."""
