// Reads flowcharts by Mermaid's own parser, and prints the labels and arrows that it found, as JSON. One file an argument.
import { readFileSync } from 'node:fs';
import { JSDOM } from 'jsdom';

const { window } = new JSDOM('<body></body>');
Object.assign(globalThis, { window, document: window.document, DOMParser: window.DOMParser });
const mermaid = (await import('mermaid')).default;
mermaid.initialize({ startOnLoad: false, securityLevel: 'strict' });
const charts = [];
for (const path of process.argv.slice(2)) {
    const diagram = await mermaid.mermaidAPI.getDiagramFromText(readFileSync(path, 'utf8'));
    const { nodes, edges } = diagram.db.getData();
    charts.push({
        type: diagram.type,
        labels: nodes.map((node) => node.label),
        edges: edges.map((edge) => [edge.start, edge.end]),
        links: nodes.filter((node) => node.link || node.haveCallback).length,
    });
}
console.log(JSON.stringify(charts));
