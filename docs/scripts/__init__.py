"""What the documentation is made with: reference pages, pictures, the recording, the site's links."""
