import io
import zlib

from django.http import FileResponse, HttpResponseForbidden, JsonResponse, StreamingHttpResponse
from django.shortcuts import render

from .models import Product


def products(request):
    found = [{"name": product.name, "price": str(product.price)} for product in Product.objects.all()]
    return JsonResponse({"products": found})


def upload(request):
    """A form; its answer is the checksum of the file that was sent."""
    if request.method != "POST":
        return render(request, "catalogue/upload.html")
    file, checksum = request.FILES["file"], 1
    for piece in file.chunks():
        checksum = zlib.adler32(piece, checksum)
    return JsonResponse({"name": file.name, "size": file.size, "adler32": checksum, "note": request.POST["note"]})


def stream(request):
    return StreamingHttpResponse(
        (f"line {number}\n" for number in range(int(request.GET.get("lines", "10")))), content_type="text/plain"
    )


def download(request):
    """A file where the query names one, else something that only reads like one."""
    if "path" in request.GET:
        return FileResponse(open(__file__, "rb"), filename="views.py")
    return FileResponse(io.BytesIO(b"from memory " * 10_000), filename="memory.txt")


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


def broken(request):
    raise LookupError("a view that fails")


def guarded(request, name):
    return HttpResponseForbidden("not for everybody")
