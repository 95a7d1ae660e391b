"""Music composed by program: real harmony, bass lines, drum patterns and tunes, with exact tags."""
