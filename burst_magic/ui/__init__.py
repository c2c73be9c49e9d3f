"""Views of a session. All are drawn from a ``Snapshot`` through ``model.PanelModel``; none accesses a store."""
