from django.urls import path

from . import views

urlpatterns = [
    path("products/", views.products),
    path("upload/", views.upload),
    path("stream/", views.stream),
    path("download/", views.download),
    path("visits/", views.visits),
    path("broken/", views.broken),
    path("guarded/<path:name>", views.guarded),
]
