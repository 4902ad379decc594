"""Graphs: message passing for nodes, links, communities, molecules, recommendation and knowledge."""
