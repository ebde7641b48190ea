import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';

const CLI = 'cmd/container-manager.ts';
const HELP_TIMEOUT_MS = 15_000;
const PROMISES = 'docs/promises.md';

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  scripts?: Readonly<Record<string, string>>;
};
const scripts = new Set(Object.keys(manifest.scripts ?? {}));

/** README, which is part of the product and so must be there, and every page of docs. */
const pages = ['README.md', ...listPages('docs')];

function listPages(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => posix.join(folder, file));
}

/** The text without fenced blocks and code spans, in which brackets and hashes are no markup. */
function proseOf(markdown: string): string {
  return markdown.replace(/^(```+|~~~+)[^\n]*\n[^]*?^\1[^\n]*$/gm, '').replace(/(`+)[^`\n]+\1/g, '');
}

/** The contents of fenced blocks, in order. */
function fencedBlocksOf(markdown: string): string[] {
  return [...markdown.matchAll(/^(```+|~~~+)[^\n]*\n([^]*?)^\1[^\n]*$/gm)].map(
    ([, , content = '']) => content,
  );
}

/** What links, images, link definitions and HTML attributes of a page lead to. */
function linksOf(markdown: string): string[] {
  const patterns = [
    /\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g,
    /^\s{0,3}\[[^\]]+\]:\s*<?([^\s>]+)>?/gm,
    /\s(?:href|src)="([^"]+)"/g,
  ];
  const prose = proseOf(markdown);
  return patterns.flatMap((pattern) => [...prose.matchAll(pattern)].map(([, target = '']) => target));
}

/** The anchors of a page, by the rule that turns headings into them where the repository is shown. */
function anchorsOf(markdown: string): Set<string> {
  const withoutBlocks = markdown.replace(/^(```+|~~~+)[^\n]*\n[^]*?^\1[^\n]*$/gm, '');
  const anchors = new Set<string>();
  for (const [, heading = ''] of withoutBlocks.matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)) {
    const slug = slugOf(heading);
    let unique = slug;
    for (let count = 1; anchors.has(unique); count++) unique = `${slug}-${count}`;
    anchors.add(unique);
  }
  for (const [, name = ''] of withoutBlocks.matchAll(/<a\s+(?:id|name)="([^"]+)"/g)) anchors.add(name);
  return anchors;
}

function slugOf(heading: string): string {
  const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
  return text
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, '')
    .replaceAll(' ', '-');
}

interface Files {
  exists(path: string): boolean;
  read(path: string): string;
}

const disk: Files = { exists: existsSync, read: (path) => readFileSync(path, 'utf8') };

/** The relative links of a page that lead to no file, or to no anchor in it. */
function brokenLinks(page: string, files: Files): string[] {
  return linksOf(files.read(page)).flatMap((link) => {
    if (/^[a-z][a-z\d+.-]*:|^\/\//i.test(link)) return [];
    const [path = '', anchor] = decodeURI(link).split('#');
    const target = path === '' ? page : posix.join(posix.dirname(page), path);
    if (target.startsWith('..') || !files.exists(target)) return [`${page}: ${link} leads to no file`];
    if (!anchor || !target.endsWith('.md')) return [];
    return anchorsOf(files.read(target)).has(anchor) ? [] : [`${page}: ${link} leads to no heading`];
  });
}

/** The npm scripts that a text tells its reader to run. */
function npmScriptsIn(text: string): string[] {
  const named = [...text.matchAll(/\bnpm (?:run|run-script) (?:-s |--silent )?([a-z][\w:.-]*\w)/g)];
  const short = [...text.matchAll(/\bnpm (test|start)\b/g)];
  return [...new Set([...named, ...short].map(([, name = '']) => name))];
}

/** The commands of fenced blocks that begin with `container-manager`, each as its words, up to a pipe or redirection. */
function commandsIn(markdown: string): string[][] {
  return fencedBlocksOf(markdown)
    .flatMap((block) => block.replace(/\\\n\s*/g, ' ').split('\n'))
    .map((line) => line.replace(/^\s*\$ /, '').trim())
    .filter((line) => /^container-manager(?:\s|$)/.test(line))
    .map((line) => wordsOf(line).slice(1));
}

/** The words of a shell line up to the end of its first command or a comment; quotes are taken off. */
function wordsOf(line: string): string[] {
  const words: string[] = [];
  for (const [token] of line.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'|&;<>])+|[|&;<>]/g)) {
    if (/^[|&;<>#]/.test(token)) break;
    words.push(token.replace(/["']/g, ''));
  }
  return words;
}

interface Help {
  /** Each option with whether a value follows it. */
  readonly options: ReadonlyMap<string, boolean>;
  readonly verbs: ReadonlySet<string>;
  /** What the first argument may be, where that is a closed set. */
  readonly choices: readonly string[];
}

/**
 * What a help text lists: options as `-x, --long value  text`, where brackets mean that the value may be left out; and,
 * where the usage names a command, the verbs below every heading that is not about something else.
 */
function parseHelp(text: string): Help {
  const options = new Map<string, boolean>();
  for (const [, short, long = '', value] of text.matchAll(/^ +(?:(-\w), )?(--[a-z][\w-]*)(?:[ =](\S+))?/gm)) {
    const takesValue = value !== undefined && !value.startsWith('[');
    options.set(long, takesValue);
    if (short) options.set(short, takesValue);
  }
  const verbs = /^Usage:[^]*?(?:COMMAND|\[command\])/.test(text) ? verbsOf(text) : [];
  return { options, verbs: new Set(verbs), choices: choicesOf(text) };
}

function choicesOf(text: string): string[] {
  const [, firstArgument = ''] = /^Arguments:\n( {2}\S.*\n(?: {3,}.*\n)*)/m.exec(text) ?? [];
  const [, choices = ''] = /\(choices: ((?:"[^"]*"[,\s]*)+)/.exec(firstArgument) ?? [];
  return [...choices.matchAll(/"([^"]*)"/g)].map(([, choice = '']) => choice);
}

function verbsOf(text: string): string[] {
  const sections = text.split(/^(?=\S.*:$)/m).slice(1);
  return sections
    .filter((section) => !/^(?:Options|Flags|Arguments|Examples)\b/.test(section))
    .flatMap((section) => [...section.matchAll(/^ {2}([a-z][\w|-]*)/gm)])
    .flatMap(([, names = '']) => names.split('|'));
}

/** What is wrong with a command, judged by the help of its verb; `helpOf` gets the verbs, outermost first. */
function commandFault(
  words: readonly string[],
  helpOf: (verbs: readonly string[]) => Help,
): string | undefined {
  const verbs: string[] = [];
  const known = new Map(helpOf(verbs).options);
  let help = helpOf(verbs);
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (word === '--') return undefined;
    if (word.startsWith('-') && word !== '-') {
      const [flag = '', value] = word.split('=');
      if (!known.has(flag)) return `${flag} is no option of "${['container-manager', ...verbs].join(' ')}"`;
      if (known.get(flag) && value === undefined) index++;
    } else if (help.verbs.size > 0) {
      if (!help.verbs.has(word)) return `"${word}" is no command`;
      verbs.push(word);
      help = helpOf(verbs);
      for (const [flag, takesValue] of help.options) known.set(flag, takesValue);
    } else if (help.choices.length > 0) {
      if (!help.choices.includes(word))
        return `"${word}" is no choice of "container-manager ${verbs.join(' ')}"`;
      help = { ...help, choices: [] };
    } else if (verbs[0] === 'run') {
      // What follows the image belongs to the container.
      return undefined;
    }
  }
  return undefined;
}

function printedHelp(args: readonly string[]): string {
  return execFileSync(process.execPath, [CLI, ...args], { encoding: 'utf8', timeout: HELP_TIMEOUT_MS });
}

const helps = new Map<string, Help>();
function helpOfProgram(verbs: readonly string[]): Help {
  const key = verbs.join(' ');
  const known = helps.get(key);
  if (known) return known;
  const help = parseHelp(printedHelp([...verbs, verbs.length === 0 ? '--help-all' : '--help']));
  helps.set(key, help);
  return help;
}

/** The rows of a page's tables, heads and rules left out. */
function tableRowsOf(markdown: string): string[] {
  const lines = markdown.split('\n');
  const isRow = (line: string | undefined): boolean => line?.trimStart().startsWith('|') ?? false;
  const isRule = (line: string | undefined): boolean => /^\s*\|[\s:|-]+\|\s*$/.test(line ?? '');
  return lines.filter((line, index) => isRow(line) && !isRule(line) && !isRule(lines[index + 1]));
}

/** The rows of promises that name no command, or one that is not there. */
function unkeptPromises(markdown: string, known: ReadonlySet<string>): string[] {
  return tableRowsOf(markdown).flatMap((row) => {
    const named = npmScriptsIn(row);
    if (named.length === 0) return [`no command checks: ${row}`];
    return named.filter((name) => !known.has(name)).map((name) => `there is no npm script "${name}": ${row}`);
  });
}

describe('the docs', () => {
  it.each(pages)('%s has links that lead somewhere', (page) => {
    expect(existsSync(page), `${page} is part of the product`).toBe(true);
    expect(brokenLinks(page, disk)).toEqual([]);
  });

  it.each(pages)('%s names npm scripts that exist', (page) => {
    const named = npmScriptsIn(readFileSync(page, 'utf8'));
    expect(named.filter((name) => !scripts.has(name))).toEqual([]);
  });

  it('README has an entry point: how to try, test and start', () => {
    expect(npmScriptsIn(readFileSync('README.md', 'utf8'))).toEqual(
      expect.arrayContaining(['demo', 'test', 'start']),
    );
  });

  it('README shows commands that the program has, with options that it takes', () => {
    const commands = commandsIn(readFileSync('README.md', 'utf8'));
    expect(commands.length).toBeGreaterThan(0);
    const faults = commands.flatMap((words) => {
      const fault = commandFault(words, helpOfProgram);
      return fault === undefined ? [] : [`container-manager ${words.join(' ')}: ${fault}`];
    });
    expect(faults).toEqual([]);
  });

  it('every promise names a command that checks it', () => {
    const markdown = readFileSync(PROMISES, 'utf8');
    expect(tableRowsOf(markdown).length).toBeGreaterThan(0);
    expect(unkeptPromises(markdown, scripts)).toEqual([]);
  });
});

describe('the check itself', () => {
  const made = (texts: Record<string, string>): Files => ({
    exists: (path) => path in texts,
    read: (path) => texts[path] ?? '',
  });

  it('finds links to no file, to no heading, and out of the project', () => {
    const files = made({
      'docs/a.md': [
        '[ok](b.md) [ok](b.md#two-words) [ok](#here) [ok](https://somewhere.example) ![ok](../logo.png)',
        '# Here',
        '[gone](c.md) [gone](b.md#three) ![gone](d.png "title") [out](../../x.md)',
        '[ref]: e.md',
        '<img src="f.png">',
        '`[not](a-link.md)`',
        '```',
        '[not](a-link.md)',
        '# No heading',
        '```',
        '[gone](#no-heading)',
      ].join('\n'),
      'docs/b.md': '## Two words\n',
      'logo.png': '',
    });
    expect(brokenLinks('docs/a.md', files)).toEqual([
      'docs/a.md: c.md leads to no file',
      'docs/a.md: b.md#three leads to no heading',
      'docs/a.md: d.png leads to no file',
      'docs/a.md: ../../x.md leads to no file',
      'docs/a.md: #no-heading leads to no heading',
      'docs/a.md: e.md leads to no file',
      'docs/a.md: f.png leads to no file',
    ]);
  });

  it.each([
    ['Two words', 'two-words'],
    ['`POST /jrpc`: the API', 'post-jrpc-the-api'],
    ['What it does - and why', 'what-it-does---and-why'],
    ['See [this](x.md)!', 'see-this'],
    ['snake_case', 'snake_case'],
  ])('knows the anchor of "%s"', (heading, anchor) => {
    expect([...anchorsOf(`# ${heading}`)]).toEqual([anchor]);
  });

  it('numbers headings that stand twice', () => {
    expect([...anchorsOf('# A\n# A\n# A')]).toEqual(['a', 'a-1', 'a-2']);
  });

  it('finds npm scripts in prose, spans and blocks', () => {
    expect(
      npmScriptsIn('`npm test`, npm run bench.\n```\nnpm run faults -- --full\nnpm start\n```\nnpm ci'),
    ).toEqual(['bench', 'faults', 'test', 'start']);
  });

  it('reads commands as a shell would', () => {
    const markdown = [
      'container-manager not-in-a-block',
      '```sh',
      '$ container-manager run --name "a b" \\',
      '    image | cat',
      'container-manager ps # all of them',
      'container-manager-x no',
      'container-manager',
      '```',
    ].join('\n');
    expect(commandsIn(markdown)).toEqual([['run', '--name', 'a b', 'image'], ['ps'], []]);
  });

  const help = (verbs: readonly string[]): Help =>
    parseHelp(
      {
        '': [
          'Usage: x [flags]\n       x COMMAND [options]\n\nWhat it is.\n',
          'Options:\n  -p, --port int  the port\n  --quiet         says nothing\n  -h, --help      help\n',
          'Jobs:\n  run   run it\n        at once\n  ps|ls  list\n',
          'The node:\n  config  the settings\n  queue  the queue\n',
        ].join('\n'),
        run: 'Usage: x run [options] <image> [args...]\n\nOptions:\n  --name <name>  its name\n',
        config: 'Usage: x config [options] [command]\n\nCommands:\n  print  all\n  check\n',
        queue:
          'Usage: x queue [action]\n\nArguments:\n  action  what (choices: "show",\n          "pause")\n\nOptions:\n',
      }[verbs.join(' ')] ??
        'Usage: x ps\n\nArguments:\n  jobs  which\n\nOptions:\n  --wide  all\n  --color [when]  colour\n',
    );

  it.each([
    'run --name a image --flag-of-the-container',
    '--port 1 --quiet',
    '--port=1 ps --wide',
    'ls',
    'queue pause now',
    'ps --color job',
    'ls --color=always',
    'config print',
    '-p 1 run image',
    'run --name=a -- --what',
  ])('lets "%s" pass', (line) => {
    expect(commandFault(line.split(' '), help)).toBeUndefined();
  });

  it.each([
    ['fly', '"fly" is no command'],
    ['--prot 1', '--prot is no option of "container-manager"'],
    ['run --nam a image', '--nam is no option of "container-manager run"'],
    ['config more', '"more" is no command'],
    ['queue break', '"break" is no choice of "container-manager queue"'],
    ['queue pause --now', '--now is no option of "container-manager queue"'],
    ['ps --name a', '--name is no option of "container-manager ps"'],
  ])('finds what is wrong with "%s"', (line, fault) => {
    expect(commandFault(line.split(' '), help)).toBe(fault);
  });

  it('finds promises that nothing checks', () => {
    const table = '| promise | by |\n|---|:--|\n| a | `npm test` |\n| b | `npm run gone` |\n| c | hope |\n';
    expect(unkeptPromises(table, new Set(['test']))).toEqual([
      'there is no npm script "gone": | b | `npm run gone` |',
      'no command checks: | c | hope |',
    ]);
  });
});
