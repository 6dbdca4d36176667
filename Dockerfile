# The API and the loaders in one image. Not built by our tests, which have no container engine: `docker compose config` is.
FROM node:22-bookworm-slim AS page
WORKDIR /page
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci
COPY web/ ./
RUN node build.mjs

FROM python:3.11-slim-bookworm
RUN useradd --create-home --uid 10001 cim
WORKDIR /opt/opencim
COPY requirements/all.txt requirements/all.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/all.txt
COPY . .
COPY --from=page /page/dist web/dist
RUN pip install --no-cache-dir --no-deps --no-build-isolation -e . && mkdir -p /var/lib/opencim && chown cim /var/lib/opencim
USER cim
ENV CIM_HOST=0.0.0.0 CIM_DATA_DIR=/var/lib/opencim CIM_LOG_JSON=true
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health/ready')"
CMD ["cim", "serve"]
