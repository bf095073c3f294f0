# syntax=docker/dockerfile:1
#
# One image for one Python application. Copy this file into its repository as `Dockerfile`, beside `requirements.txt`, and
# change what follows CMD where the application is not found by itself:
#
#     CMD ["serve", "--app", "shop.wsgi", "--static", "/static=static"]
#
# The image `stack` is made from this project's docker/Dockerfile; PYTHON has to be the same in both.

ARG DEBIAN=trixie
ARG PYTHON=3.14
ARG STACK=stack

FROM ${STACK} AS stack

# The full image has the compilers that a package without a wheel needs.
FROM python:${PYTHON}-${DEBIAN} AS packages
RUN python -m venv /venv
WORKDIR /packages
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip /venv/bin/pip install --requirement requirements.txt

FROM python:${PYTHON}-slim-${DEBIAN}
RUN groupadd --gid 10001 app && useradd --uid 10001 --gid app --home-dir /app --create-home --shell /usr/sbin/nologin app
COPY --from=stack /usr/local/bin/stack /usr/local/bin/stack
COPY --from=packages /venv /venv
# VIRTUAL_ENV names the packages. Python code is compiled here, because the running user may not write.
ENV VIRTUAL_ENV=/venv PATH=/venv/bin:$PATH PORT=8000
WORKDIR /app
COPY . .
RUN python -m compileall -q /venv /app
USER 10001:10001
# Loads libpython: a stack image of another Python is noticed here, not in production.
RUN ["stack", "--version"]
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["stack"]
CMD ["serve"]
