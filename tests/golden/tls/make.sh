#!/usr/bin/env bash
# A certificate that nobody has signed, and its key: what a client must not trust. Valid for a hundred years.
set -euo pipefail
cd "$(dirname "$0")"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj "/CN=localhost" \
    -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" -keyout key.pem -out certificate.pem
