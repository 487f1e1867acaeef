"""The web page for people, in Streamlit: pictures, cameras, search, lists, register and charts. It talks to the service through `openplate.client` alone.

Needs the extra `page`; `openplate page` starts it.
"""
