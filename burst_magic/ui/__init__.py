"""Views of a session. All of them are drawn from a ``Snapshot`` by way of ``model.PanelModel``; none knows a store."""
