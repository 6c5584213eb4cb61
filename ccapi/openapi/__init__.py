"""The API described: OpenAPI at `/schema`, pages for people at `/` and `/docs`.

`document` puts together what REST framework's views say (`rest`, by drf-spectacular), the chat
routes (`chat`, by the route table and the files of `parts/`), and the tree of errors (`errors`).
Nothing in the product imports this but `ccapi.urls`.
"""
