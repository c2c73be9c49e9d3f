// What the compiler does not see: floating promises, loose comparisons, markup from strings.
import tseslint from "typescript-eslint";

const MARKUP = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"];

export default tseslint.config(
  { ignores: ["node_modules/", "lib/", "*.js", "*.mjs"] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      eqeqeq: "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "no-restricted-properties": ["error", ...MARKUP.map((property) => ({ property, message: "Foreign text goes through textContent." }))],
    },
  },
);
