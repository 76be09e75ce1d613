"""Servables: versioned SavedModels for TF Serving. Import the submodules you need."""
