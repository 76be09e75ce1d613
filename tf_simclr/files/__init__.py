"""Files that are whole or absent, and whose damage is noticed. Import the submodules you need."""
