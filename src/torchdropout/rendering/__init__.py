"""What the renderers of both judges share: strings in, strings out."""
