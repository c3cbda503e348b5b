import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { build, type Plugin } from "vite";

const SOURCE = path.resolve(import.meta.dirname, "src/service_worker.ts");

/**
 * Adds `sw.js`, which keeps the app for days without a network. It stands beside the page under this fixed name, so that
 * its scope is the app; it knows every file of the build by its sum, so that it is another one for each build.
 */
export function serviceWorker(): Plugin {
  return {
    name: "service-worker",
    apply: "build",
    // Once everything is in its folder: what was bundled, the page, and what is only copied.
    async writeBundle({ dir }) {
      if (dir === undefined) throw new Error("the build has no folder");
      const files = Object.fromEntries(filesIn(dir).map((file) => [file, sum(readFileSync(path.join(dir, file)))]));
      const version = sum(JSON.stringify(files) + readFileSync(SOURCE, "utf8")).slice("sha256-".length, 29);
      await build({
        configFile: false,
        logLevel: "warn",
        publicDir: false,
        define: { BUILD: JSON.stringify({ version, files }) },
        build: {
          target: "es2023",
          outDir: dir,
          emptyOutDir: false,
          // A classic script: not every browser runs modules as service workers.
          rolldownOptions: { input: SOURCE, output: { format: "iife", entryFileNames: "sw.js" } },
        },
      });
    },
  };
}

/** The files to keep, in an order that does not depend on the disk. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith(".") && entry.name !== "sw.js")
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).split(path.sep).join("/"))
    .sort();
}

function sum(content: string | Buffer): string {
  return `sha256-${createHash("sha256").update(content).digest("base64")}`;
}
