import { UserError } from '../base/index.ts';
import { type CST, Composer, type Document, Lexer, Parser, isScalar } from 'yaml';
import { Field, Source } from './field.ts';

/** A rule is eight levels deep. Without a limit a hostile text could exhaust the stack of what builds the tree. */
const DEEPEST = 40;

/**
 * The value of a JSON text without positions, many times faster than `readDocuments`; undefined if it is no JSON, or has a
 * key twice. Meant for the text that turns out right; to complain about another one, read it again with positions.
 */
export function readJson(text: string, file: string): Field | undefined {
  try {
    const node: unknown = JSON.parse(text);
    if (countMembers(text) !== countKeys(node)) return undefined;
    return new Field({ source: new Source(file), node, path: '$', offset: 0 });
  } catch {
    return undefined;
  }
}

/** Members as the text has them: in valid JSON, its colons outside of strings. */
function countMembers(text: string): number {
  let count = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|:/g)) if (token === ':') count++;
  return count;
}

/** Keys as JSON.parse keeps them: each once per object. */
function countKeys(root: unknown): number {
  let count = 0;
  const open = [root];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    const children: unknown[] = Object.values(value);
    if (!Array.isArray(value)) count += children.length;
    for (const child of children) open.push(child);
  }
  return count;
}

/**
 * The documents of a JSON or YAML text: one of JSON, any number of YAML. Throws UserError POLICY_INVALID for whatever
 * cannot be read.
 */
export function readDocuments(text: string, file: string): Field[] {
  const source = new Source(file);
  const documents = compose(text, source);
  for (const { errors, warnings } of documents) {
    const [fault] = [...errors, ...warnings];
    if (fault !== undefined) throw source.error(fault.pos[0], '$', `${fault.message}; write JSON or YAML`);
  }
  // Between two lines of --- there may be nothing, as templates make it.
  const said = documents.filter(({ contents }) => !(isScalar(contents) && contents.source === ''));
  if (said.length === 0) throw source.error(0, '$', 'is empty; write [] for no rules');
  return said.map(({ contents }) => new Field({ source, node: contents, path: '$', offset: 0 }));
}

function compose(text: string, source: Source): Document.Parsed[] {
  const composer = new Composer({ lineCounter: source.lines, uniqueKeys: false, logLevel: 'silent' });
  try {
    return [...composer.compose(tokens(text, source))];
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw source.error(0, '$', `${String(error)}; write JSON or YAML`);
  }
}

/** The tokens of the text; stops where they nest too deeply. */
function* tokens(text: string, source: Source): Generator<CST.Token, void> {
  const parser = new Parser(source.lines.addNewLine);
  const lexer = new Lexer();
  source.lines.addNewLine(0);
  for (const lexeme of lexer.lex(text)) {
    yield* parser.next(lexeme);
    if (parser.stack.length > DEEPEST) {
      throw source.error(parser.offset, '$', 'is nested too deeply; a rule has eight levels');
    }
  }
  yield* parser.end();
}
