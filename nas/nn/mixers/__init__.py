"""The token mixers: modules that exchange information between the tokens of a map, and what all of them build on."""
