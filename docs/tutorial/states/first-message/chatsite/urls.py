from django.urls import path
from django.views.generic import TemplateView

page = TemplateView.as_view(template_name="chat/room.html")
urlpatterns = [path("", page)]
