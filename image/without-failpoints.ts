/**
 * Takes the failpoints out of a module: each call, which is a statement of its own, the loop that has
 * nothing else in it, and the import. Whatever else names a failpoint cannot be taken out and is an error.
 */
import ts from 'typescript';

const NAME = 'failpoint';
const MODULE = '/failpoint.ts';

/** @throws Error where a failpoint is more than a statement: it would leave a trace in the release. */
export const withoutFailpoints: ts.TransformerFactory<ts.SourceFile> = (context) => {
  const { factory } = context;
  const visit = (node: ts.Node): ts.Node | undefined => {
    if (isImport(node)) return undefined;
    if (isFailpoint(node)) {
      return isListed(node) ? undefined : factory.createEmptyStatement();
    }
    if (ts.isForOfStatement(node) && isFailpoint(node.statement)) return undefined;
    if (ts.isIdentifier(node) && node.text === NAME) throw new Error(traceOf(node));
    return ts.visitEachChild(node, visit, context);
  };
  return (file) =>
    file.statements.some(isImport) ? ts.visitEachChild(file, visit, context) : file;
};

const isImport = (node: ts.Node): boolean =>
  ts.isImportDeclaration(node) &&
  node.importClause?.phaseModifier !== ts.SyntaxKind.TypeKeyword &&
  ts.isStringLiteral(node.moduleSpecifier) &&
  node.moduleSpecifier.text.endsWith(MODULE);

const isFailpoint = (node: ts.Node): node is ts.ExpressionStatement =>
  ts.isExpressionStatement(node) &&
  ts.isCallExpression(node.expression) &&
  ts.isIdentifier(node.expression.expression) &&
  node.expression.expression.text === NAME;

/** Stands in a list of statements, and not alone as a branch or the body of a loop. */
const isListed = ({ parent }: ts.Node): boolean =>
  ts.isBlock(parent) || ts.isSourceFile(parent) || ts.isCaseOrDefaultClause(parent);

function traceOf(node: ts.Identifier): string {
  const file = node.getSourceFile();
  const { line } = file.getLineAndCharacterOfPosition(node.getStart());
  return `${file.fileName}:${line + 1}: a failpoint is a statement of its own`;
}
