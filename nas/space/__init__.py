"""What can be built: architectures, search spaces, genomes, scan patterns, costs. No torch."""
