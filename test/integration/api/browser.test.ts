import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chromium, type Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PATIENCE } from '../../support/patience.ts';
import { startApi } from './api-harness.ts';

/** Chromium asks nobody but the pages of the test. */
const QUIET_FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Ways in which a page can send a body to another origin; only the first needs to be asked for beforehand. */
const CONTENT_TYPES = [
  'application/json',
  'text/plain',
  'text/plain;a=application/json',
  'application/x-www-form-urlencoded',
  'multipart/form-data;x=application/json',
];

let browser: Browser;
let foreign: Server;
let foreignUrl: string;

beforeAll(async () => {
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: QUIET_FLAGS });
  foreign = createServer((_request, response) => {
    response.setHeader('Content-Type', 'text/html').end('<title>foreign</title>');
  });
  await new Promise<void>((resolve) => foreign.listen(0, '127.0.0.1', resolve));
  foreignUrl = `http://127.0.0.1:${(foreign.address() as AddressInfo).port}/`;
});

afterAll(async () => {
  await browser?.close();
  foreign?.close();
});

describe('A4: a page of another origin, in a real browser', () => {
  it('creates no container, whatever content type it sends', async () => {
    const api = await startApi();
    const page = await browser.newPage();
    await page.goto(foreignUrl);
    const attempt = { url: `http://127.0.0.1:${api.port}/jrpc`, types: CONTENT_TYPES };
    const outcomes = await page.evaluate(async ({ url, types }) => {
      const body = '{"jsonrpc":"2.0","method":"ContainerService.Create","params":[{"image":"nginx"}],"id":1}';
      const results: string[] = [];
      for (const type of types) {
        for (const mode of ['cors', 'no-cors'] as const) {
          const request = { method: 'POST', mode, body, headers: { 'Content-Type': type } };
          results.push(
            await fetch(url, request).then(
              (reply) => `${reply.status} ${reply.type}`,
              () => 'failed',
            ),
          );
        }
      }
      return results;
    }, attempt);
    await page.evaluate(
      `navigator.sendBeacon(${JSON.stringify(attempt.url)}, new Blob(['{}'], { type: 'text/plain;a=application/json' }))`,
    );
    // Opaque replies hide from the page that it was refused; nothing else came through.
    expect(new Set(outcomes)).toEqual(new Set(['failed', '0 opaque']));
    await expect.poll(() => api.refused.length, PATIENCE).toBeGreaterThan(CONTENT_TYPES.length);
    expect(api.rpcCalls).toEqual([]);
    await page.close();
  });

  it('creates none by a form either, and reads no list of jobs', async () => {
    const api = await startApi();
    const page = await browser.newPage();
    await page.goto(foreignUrl);
    const read = await page.evaluate(
      (url) =>
        fetch(url).then(
          (reply) => reply.text(),
          () => 'failed',
        ),
      `http://127.0.0.1:${api.port}/jobs`,
    );
    expect(read).toBe('failed');
    await page.setContent(`
      <form action="http://127.0.0.1:${api.port}/jrpc" method="post" enctype="text/plain">
        <input name='{"jsonrpc":"2.0","method":"ContainerService.Create","params":[{"image":"nginx","x":"' value='"}],"id":1}'>
      </form>`);
    const navigated = page.waitForNavigation();
    await page.evaluate('document.forms[0].submit()');
    expect((await navigated)?.status()).toBe(403);
    expect(api.rpcCalls).toEqual([]);
    await page.close();
  });

  it('gets in when its origin is allowed: the harness can tell the difference', async () => {
    const api = await startApi({ access: { allowedOrigins: [new URL(foreignUrl).origin] } });
    const page = await browser.newPage();
    await page.goto(foreignUrl);
    await page.evaluate(
      (url) =>
        fetch(url, {
          method: 'POST',
          mode: 'no-cors',
          body: '{"jsonrpc":"2.0","method":"SystemService.Version","params":[],"id":1}',
          headers: { 'Content-Type': 'text/plain' },
        }).catch(() => undefined),
      `http://127.0.0.1:${api.port}/jrpc`,
    );
    expect(api.refused).toEqual([]);
    await page.close();
  });
});
