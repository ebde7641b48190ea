#!/usr/local/bin/node
// The image's health check: 0 when the node takes work. It knows the port by the container's environment.
import { get as getPlain } from 'node:http';
import { get as getOverTls } from 'node:https';

const { CONTAINER_MANAGER_PORT: port = '8080', CONTAINER_MANAGER_TLS_CERT_FILE: certFile } = process.env;
const options = { host: '127.0.0.1', port, path: '/ready', agent: false };

function onReply(response) {
  process.exitCode = response.statusCode === 200 ? 0 : 1;
  response.pipe(process.stdout);
}

function onError(error) {
  process.stdout.write(`${error.message}\n`);
  process.exitCode = 1;
}

// The certificate names the node as its clients know it, which is not this address.
const request = certFile
  ? getOverTls({ ...options, rejectUnauthorized: false }, onReply)
  : getPlain(options, onReply);
request.on('error', onError);
