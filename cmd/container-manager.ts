#!/usr/bin/env -S node --
import { enableCompileCache } from 'node:module';
import { cacheDir } from './cli/cache-dir.ts';

// Before anything else is loaded, so that all of it is found compiled the next time.
enableCompileCache(cacheDir(process.env));

const { main } = await import('./cli/main.ts');
const { VERBS } = await import('./cli/verbs.ts');
const { processTerminal } = await import('./cli/screen/terminal.ts');

const cli = { terminal: processTerminal(), env: process.env, nowMs: Date.now, verbs: VERBS };
process.exitCode = await main(process.argv.slice(2), cli);
