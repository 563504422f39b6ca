"""From other tools' files and objects to a Graph."""
