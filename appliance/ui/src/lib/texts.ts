// The text fields of a form as one object: a value and a change for each by its name.
import { useState } from "react";

interface Field {
  value: string;
  onChange: (event: { currentTarget: { value: string } }) => void;
}

export function useTexts<T extends Record<string, string>>(first: T): [T, (name: keyof T) => Field] {
  const [texts, setTexts] = useState(first);
  const field = (name: keyof T): Field => ({
    value: texts[name] ?? "",
    onChange: (event) => {
      const { value } = event.currentTarget;
      setTexts((old) => ({ ...old, [name]: value }));
    },
  });
  return [texts, field];
}
