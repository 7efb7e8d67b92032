// The studio's server sends the file from npm in place of this one; this one is for the type checker.
export {
  Component,
  html,
  render,
  useCallback,
  useEffect,
  useErrorBoundary,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "htm/preact/standalone";
