"""The portal: the only room that imports flask. GET shows, POST changes, and every view says who may open it."""
