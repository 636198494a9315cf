"""The methods: each says which networks play and what their losses are."""
